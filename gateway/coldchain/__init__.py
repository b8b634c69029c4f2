"""The cold chain at a gateway: shipments that it opens, reports, releases, and those of others that concern it.

What is an excursion the contract `coldchain` decides; here are the reports that it decides by, made of logged readings.
"""
