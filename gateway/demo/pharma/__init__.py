"""A medicine from raw material to patient, played by five companies, each with its own gateway in its own process.

Everything goes the way it goes in service: devices over MQTT, EPCIS and commands over REST. Nothing here is trusted.
"""
