"""Letters: queued in the transaction of the act that they report, and sent later (contract 11.14)."""
