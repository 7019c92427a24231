"""``radflow draft``: the pictures of a study to a report, in any form, for one study or many."""
