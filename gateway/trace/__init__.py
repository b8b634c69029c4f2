"""Where a thing came from and where it went: by the EPCIS events in this gateway's log, and by its partners' word.

Trust boundary: an answer is as true as the events are; each step names its record, whose receipt proves who said it and
when. What a partner's gateway tells is shown as that partner's.
"""
