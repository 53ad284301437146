-- Remember the state of the transaction: `imports/undo_row` goes back to it.
savepoint row
