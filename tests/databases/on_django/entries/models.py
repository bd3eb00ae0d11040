"""The one table."""

from django.db import models


class Entry(models.Model):
    mark = models.TextField()

    class Meta:
        app_label = "entries"
        db_table = "entries"
