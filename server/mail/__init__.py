"""Letters: queued in the transaction of the act they tell of, sent later by a worker (contract 11.14)."""
