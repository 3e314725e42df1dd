"""What a table is: blocks of rows, their scale, and how they are spread over devices."""
