"""What an evaluation came to, for people and for other programs: terminal, HTML, JSON, Markdown, JUnit."""
