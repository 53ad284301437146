-- Go back to the state that `imports/begin_row` remembered.
rollback to savepoint row
