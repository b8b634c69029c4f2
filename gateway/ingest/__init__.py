"""The doors through which messages enter: the gateway's own MQTT listener and clients of other brokers."""
