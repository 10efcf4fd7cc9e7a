"""What is broadcast or two-way goes over Channels; tokens go over SSE (`arena/streams/`)."""
