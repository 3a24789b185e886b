"""The exams of the pocket lab's models: what each is worth on scenes that it never saw."""
