"""The operator's desk for events that were set aside (decision 10): see them, send them round again, waive, lift."""
