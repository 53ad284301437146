"""Letters: queued in the transaction of the act they report, sent later by a worker (contract 11.14)."""
