-- Forget the state that `imports/begin_row` remembered, and keep what was done since. PostgreSQL keeps some 10 kB for each
-- state that is not forgotten, until the transaction ends.
release savepoint row
