"""All pages that a person of this company clicks through."""

from gateway.web import alarms, exceptions, goods, pages, recalls, shipments

PAGES = (goods, shipments, exceptions, recalls, alarms, pages)
