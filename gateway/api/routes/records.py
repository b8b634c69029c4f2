"""Records: list, detail, receipt, proof."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response

from chain.log.proofs import inclusion_proof
from chain.record import Authentication
from gateway.api.auth import Caller, PayloadReader, Reader
from gateway.api.models import (
    FieldOut,
    InclusionOut,
    LinkOut,
    PayloadOut,
    RecordDetailOut,
    RecordOut,
    RecordPageOut,
    SealOut,
    Term,
)
from gateway.api.parameters import FromTime, RecordId, SourceName, Text, ToTime
from gateway.api.problems import documented
from gateway.api.services import AView, Here
from gateway.index import TERM_NAMES
from gateway.query.cursor import MAX_CHARS
from gateway.query.detail import RecordDetail, record_detail
from gateway.query.kinds import flag_names, kind_name
from gateway.query.plain import plain_value
from gateway.query.proof_chain import Link, proof_chain
from gateway.query.records import MAX_PAGE, RecordFilter, RecordRow, list_records

router = APIRouter(prefix="/v1/records", tags=["records"])
MAX_DISCLOSED = 64

_Term = Annotated[Text | None, Query(description="needs scope auditor or operator")]


@router.get("", summary="List records", responses=documented(401, 403))
def records(
    who: Reader, here: Here, view: AView,
    source: Annotated[SourceName | None, Query(examples=["cold-1"])] = None,
    kind: Annotated[
        Literal["reading", "production", "inference", "object", "epcis", "shipment", "recall", "seal", "erasure"]
        | None,
        Query(),
    ] = None,
    since: FromTime = None, until: ToTime = None,
    flag: Annotated[list[Literal["suspect", "out-of-range", "late", "urgent", "seal-broken"]] | None,
                    Query(max_length=5, description="all of these are set; may be repeated")] = None,
    series: _Term = None, gtin: _Term = None, lot: _Term = None, serial: _Term = None, line: _Term = None,
    model: _Term = None, decision: _Term = None,
    epc: Annotated[Text | None, Query(description="a thing of an EPCIS event, as its canonical Digital Link")] = None,
    judged: Annotated[Text | None, Query(alias="input", description="digest of what was judged or seen")] = None,
    order: Annotated[Literal["newest", "oldest"], Query()] = "newest",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=MAX_CHARS, description="from the page before")] = None,
) -> RecordPageOut:  # fmt: skip
    """Records by source, kind, time, flags and what their payloads say, in the order of the log. Pages are stable
    while the log grows."""
    given = (series, gtin, lot, serial, line, model, judged, decision, epc)
    terms = tuple((name, value) for name, value in zip(TERM_NAMES, given, strict=True) if value is not None)
    if terms and not who.sees_payloads:
        raise HTTPException(403, f"asking for {terms[0][0]} needs a token of scope auditor or operator")
    wanted = RecordFilter(source, kind, since, until, tuple(flag or ()), terms, order == "oldest")
    page = list_records(view, wanted, limit, cursor, payloads=who.sees_payloads)
    rows = [record_out(row) for row in here.marked(view, page.records)]
    return RecordPageOut(records=rows, cursor=page.next_cursor, indexed=page.indexed)


@router.get("/{id}", summary="One record with its chain of proof", responses=documented(401, 403, 404))
def record(leaf: RecordId, who: Reader, here: Here, view: AView) -> RecordDetailOut:
    """The record, its payload and fields where the caller may see them, its seal, and each link of its proof as
    this gateway finds it. To check it without trusting the gateway, take the receipt."""
    detail = record_detail(view, leaf)
    return _detail(detail, proof_chain(view, detail, here.policy, here.receipt), who)


@router.get("/{id}/receipt", summary="The receipt file of one record", response_class=Response,
            responses={200: {"content": {"application/json": {}}}, **documented(401, 403, 404, 409)})  # fmt: skip
def receipt(
    leaf: RecordId, who: PayloadReader, here: Here, view: AView,
    disclose: Annotated[list[Text] | None, Query(
        max_length=MAX_DISCLOSED, description="prove only this field and hide the rest; may be repeated")] = None,
) -> Response:  # fmt: skip
    """Everything that proves the record, in one file for `sealtrail verify`. 409 until the record is anchored."""
    detail = record_detail(view, leaf)
    names = [path for path, _ in detail.content.stored.fields] if detail.content else []
    unknown = [path for path in disclose or () if path not in names]
    if unknown:
        raise HTTPException(422, f"record {leaf} has no field {unknown[0]!r:.80}; it has {', '.join(names) or 'none'}")
    built = here.receipt(view, leaf, tuple(disclose) if disclose else None)
    return _download(built.to_json(), "application/json", f"record-{leaf}.receipt.json")


@router.get("/{id}/proof", summary="Inclusion proof of one record", response_class=Response, response_model=None,
            responses={200: {"model": InclusionOut, "content": {"text/plain": {}, "application/json": {}}},
                       **documented(401, 403, 404, 409)})  # fmt: skip
def proof(leaf: RecordId, who: Reader, here: Here, view: AView, request: Request) -> Response:
    """A C2SP tlog-proof as text; with `Accept: application/json` the same path as JSON, under the newest signed
    checkpoint. 409 while no checkpoint holds the record."""
    accept = request.headers.get("accept", "")
    if "application/json" not in accept or "text/plain" in accept:
        record_detail(view, leaf)
        return _download(here.tlog_proof(view, leaf).encode(), "text/plain; charset=utf-8", f"record-{leaf}.tlog-proof")
    return Response(_inclusion(view, leaf).model_dump_json(), media_type="application/json")


def _inclusion(view: AView, leaf: int) -> InclusionOut:
    detail = record_detail(view, leaf)
    stored = view.site.checkpoints.latest()
    if stored is None or stored.size <= leaf:
        raise HTTPException(409, f"record {leaf} is in the log, but no signed checkpoint holds it yet; try again soon")
    hashes = inclusion_proof(view.site.entries, leaf, stored.size)
    return InclusionOut(
        index=leaf, size=stored.size, leaf_hash=detail.leaf_hash, hashes=hashes, root=stored.checkpoint.root,
        checkpoint=stored.note,
    )  # fmt: skip


def _download(content: bytes, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def authentication_name(value: Authentication) -> str:
    return value.name.lower().replace("_", "-")


def record_out(row: RecordRow) -> RecordOut:
    return RecordOut(
        id=str(row.leaf), kind=row.kind, source=row.source, boot=row.boot, seq=row.seq, count=row.count,
        sensed_us=row.sensed_us, received_us=row.received_us, authentication=authentication_name(row.authentication),
        flags=list(row.flags), anchored=row.anchored, summary=row.summary,
        terms=[Term(name=name, value=value) for name, value in row.terms],
    )  # fmt: skip


def _detail(detail: RecordDetail, chain: tuple[Link, ...], who: Caller) -> RecordDetailOut:
    record = detail.record
    payload, fields = _content(detail) if who.sees_payloads else (None, None)
    return RecordDetailOut(
        id=str(detail.leaf), kind=kind_name(record.kind), source=record.source, boot=record.boot, seq=record.seq,
        count=record.count, sensed_us=record.sensed_us, received_us=record.received_us, logged_us=record.logged_us,
        authentication=authentication_name(record.authentication), flags=list(flag_names(record.flags)),
        entry=detail.entry, leaf_hash=detail.leaf_hash, content_hash=record.content_hash,
        commitment=record.commitment, erased=detail.erased, payload=payload, fields=fields, seal=_seal(detail),
        checkpoint_size=detail.checkpoint.size if detail.checkpoint else None, anchored=detail.anchored,
        chain=[LinkOut(name=k.name, title=k.title, state=k.state, text=k.text) for k in chain],
    )  # fmt: skip


def _content(detail: RecordDetail) -> tuple[PayloadOut | None, list[FieldOut] | None]:
    if detail.content is None:
        return None, None
    event = detail.content.event
    try:
        text: str | None = event.payload.decode()
    except UnicodeDecodeError:
        text = None
    fields = [FieldOut(path=path, value=plain_value(value)) for path, value in detail.content.stored.fields]
    return PayloadOut(schema_version=event.schema, base64=event.payload, text=text), fields


def _seal(detail: RecordDetail) -> SealOut:
    found: dict[str, Any] = dict.fromkeys(("id", "boot", "first", "count", "signed_us", "kid"))
    if detail.seal is not None:
        seal = detail.seal.seal
        found = {
            "id": str(detail.seal.leaf), "boot": seal.boot, "first": seal.first, "count": seal.count,
            "signed_us": seal.signed_us, "kid": seal.kid,
        }  # fmt: skip
    return SealOut(state=detail.seal_state, **found)
