"""What runs on a device: it numbers events, keeps them until the gateway's signed word, seals and sends them."""
