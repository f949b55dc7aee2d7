"""JSON files that are written whole or not at all."""

import json

from fcis_tf.whole_file import write_text


def write_json(value, path):
    """Writes a value as JSON; a file that was there stays intact until the new one is complete.

    Raises:
        UserError: the file cannot be written.
    """
    write_text(json.dumps(value, indent=1) + "\n", path)
