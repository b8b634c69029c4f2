"""The record index: what makes the log searchable. It follows the log, decides nothing, and can be deleted.

Trust boundary: it is built from records and stored fields and is as true as they are; every page and answer
that shows evidence reads the log itself. It holds values in clear, so its file is private (mode 0600), and
erasing a subject means `Index.rebuild` afterwards.
"""

from gateway.index.follower import BATCH, Index
from gateway.index.terms import TERM_NAMES, Point, points_of, terms_of

__all__ = ["BATCH", "TERM_NAMES", "Index", "Point", "points_of", "terms_of"]
