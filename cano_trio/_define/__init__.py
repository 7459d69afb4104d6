"""What a workflow is. Values only: nothing here starts a task or sleeps."""
