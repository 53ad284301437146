-- Make the database that a backup is restored into, beside the one in force.
create database frontdesk_restoring owner frontdesk template template0
