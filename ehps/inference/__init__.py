"""Images and videos in, people out."""
