"""The HTTP gateway: CloudEvents over HTTP into Kafka, answered when they are safe. docs/gateway.md tells how to use it.

    binding → judge → intake → Kafka, or the spool and then Kafka
"""
