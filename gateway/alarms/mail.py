"""An alarm as a mail for people (RFC 5322)."""

import json
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, localtime

from gateway.alarms.alarm import Alarm, rfc3339
from gateway.alarms.settings import AlarmTarget


def message(alarm: Alarm, target: AlarmTarget, origin: str, url: str) -> bytes:
    """The mail that tells of an alarm (RFC 5322). `url`: where the gateway's interface is, for the links in it."""
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"], mail["To"] = target.sender, ", ".join(target.to)
    mail["Subject"] = f"[{origin}] {alarm.what}: {_one_line(alarm.text)[:120]}"
    mail["Message-ID"] = f"<{alarm.message}@{origin.partition('/')[0]}>"
    mail["Date"] = format_datetime(localtime())
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's out-of-office answers it
    lines = [alarm.text, "", f"when: {rfc3339(alarm.at_us)}", f"of: {alarm.subject}"]
    lines += [
        f"{name}: {value if isinstance(value, str) else json.dumps(value)}" for name, value in alarm.numbers.items()
    ]
    lines += [f"{name}: {url}{path}" for name, path in alarm.links.items()]
    lines += ["", f"alarm {alarm.id} at {origin}; acknowledge it:", _command(alarm, url)]
    mail.set_content("\n".join(lines) + "\n")
    return mail.as_bytes()


def _command(alarm: Alarm, url: str) -> str:
    """What acknowledges it, with what is for a person to fill in; the token is in SEALTRAIL_TOKEN, or `--token`."""
    where = f" --url {url}" if url else ""
    return f'sealtrail alarms acknowledge {alarm.id} --by "your name" --reason "what you did"{where}'


def _one_line(text: str) -> str:
    return " ".join(text.split())
