"""A server that speaks Daytona's wire and runs everything in real local sandboxes."""
