"""What one's own videos show."""
