"""The hub on one machine: an embedded AWS, an MQTT broker, an HTTP server and Lambda's pollers."""
