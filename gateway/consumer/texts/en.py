"""English."""

TEXTS = {
    "language": "English",
    "date": "{day} {month} {year}",
    "month_1": "January",
    "month_2": "February",
    "month_3": "March",
    "month_4": "April",
    "month_5": "May",
    "month_6": "June",
    "month_7": "July",
    "month_8": "August",
    "month_9": "September",
    "month_10": "October",
    "month_11": "November",
    "month_12": "December",
    "page": "Pack check",
    "skip": "Skip to the content",
    "languages": "Language",
    "status_unknown": "We do not know this pack",
    "status_recalled": "This medicine has been recalled",
    "status_withdrawn": "This pack should not be for sale",
    "status_held": "This pack is being checked",
    "status_expired": "This pack is out of date",
    "status_warm": "This pack may not have been stored correctly",
    "status_genuine": "This pack is genuine",
    "status_copied": "The number is genuine, but it may have been copied",
    "status_lot": "This lot is genuine",
    "status_away": "We cannot check just now",
    "status_slow": "A little slower, please",
    "status_nothing": "This is not the code of a pack",
    "lead_unknown": (
        "The maker of this product has not recorded a pack with this product number, lot, date and serial number"
        " together. It may be a counterfeit. Do not take it; show it to a pharmacist."
    ),
    "lead_recalled": "Do not take it. Bring the pack to a pharmacy, or ask your doctor what to take instead.",
    "lead_withdrawn": (
        "The maker recorded it, and it was later taken out of the trade. Do not take it; show it to a pharmacist."
    ),
    "lead_held": (
        "Something on its way was not as it should be, and it has not been cleared yet. Do not take it; ask a"
        " pharmacist."
    ),
    "lead_expired": "The maker recorded it, and its last good day is over. Do not take it.",
    "lead_warm": (
        "The maker recorded it, and its temperature on the way was not in order, or was not watched all the time. Ask a"
        " pharmacist before you take it."
    ),
    "lead_genuine": "The maker recorded this pack, and nothing is known against it.",
    "lead_copied": (
        "The maker recorded one pack with this number, and it was looked up in several places. Look whether this pack"
        " is unopened and its print is clean; where you are in doubt, show it to a pharmacist."
    ),
    "lead_lot": (
        "The maker recorded this lot. Only the serial number on the pack can tell whether the pack is genuine."
    ),
    "lead_away": "The ledger cannot be asked at the moment. This says nothing about the pack. Try again in a minute.",
    "lead_slow": "There were many questions from your network. Try again in a minute.",
    "lead_nothing": (
        "The address does not name a product with its lot or serial number. Scan the code on the pack again."
    ),
    "made": "Recorded by the maker on {date}",
    "made_lot": "Lot recorded by the maker on {date}",
    "good_until": "Good until {date}",
    "expired_on": "Out of date since {date}",
    "recall_1": "Recalled since {date}: taking it may be dangerous",
    "recall_2": "Recalled since {date}: taking it may do harm",
    "recall_3": "Recalled since {date}, for a reason that is unlikely to do harm",
    "held_now": "Held until somebody independent has cleared it",
    "cold_yes": "Kept within its temperature limits on the ways that the maker can see",
    "cold_no": "Its temperature on the way was not in order",
    "cold_unknown": "How warm it was on its way is not known here",
    "dispensed": (
        "Recorded as handed to a patient on {date}. If that was you, all is well. If somebody sells it to you now, do"
        " not buy it."
    ),
    "withdrawn_on": "Taken out of the trade on {date}",
    "scan_first": "Nobody looked this pack up before you",
    "scan_again": "Earlier look-ups: {count}, the first on {date}",
    "scan_elsewhere": (
        "Also looked up from another network within the last hour. If that was not you or somebody you gave it to,"
        " the code may have been copied: ask a pharmacist."
    ),
    "scan_many": (
        "Looked up from several different networks within a day. The code may have been copied onto other packs: ask"
        " a pharmacist."
    ),
    "details": "What the code says",
    "gtin": "Product number",
    "lot": "Lot",
    "serial": "Serial number",
    "expiry": "Last good day",
    "proof": "See the proof",
    "back": "Back to the pack",
    "proof_title": "How we know",
    "proof_lead": "Each step can be checked by anyone, without trusting the company that runs this page.",
    "proof_none": "The record that proves it is not kept here.",
    "proof_pack": "The pack belongs to the lot",
    "proof_pack_text": (
        "When the lot was made, its maker put one number on the ledger that stands for all its packs at once. This"
        " pack is among them; nobody can add one later."
    ),
    "proof_event": "What was reported is kept unchanged",
    "proof_seal": "Whoever reported it signed it",
    "proof_record": "It has its place in a log",
    "proof_path": "The place is part of the whole log",
    "proof_checkpoint": "The log is signed",
    "proof_witnesses": "Independent witnesses saw the same log",
    "proof_anchor": "Several companies hold it on a shared ledger",
    "state_holds": "checked",
    "state_pending": "on its way",
    "state_missing": "not there",
    "state_doubtful": "in doubt",
    "state_false": "does not hold",
    "download": "Download the receipt",
    "download_text": (
        "One file that proves it without this page and without a network. It names no other company and no other"
        " pack. Programs that check it are free."
    ),
    "privacy": (
        "This page sets no cookie and stores no address. It notes the time of a scan and, for two days, a scrambled"
        " mark of the network it came from, to notice codes that were copied. After two days nobody can turn the mark"
        " back."
    ),
    "maker": "Only the maker’s own record counts here. Where a pack was sold, and by whom, this page does not say.",
}
