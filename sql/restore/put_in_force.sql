-- Put the restored database in force.
alter database frontdesk_restoring rename to frontdesk
