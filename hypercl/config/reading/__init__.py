"""From YAML text to validated models, with the file and line of every key."""
# pyright: reportUnusedImport=false

from hypercl.config.reading.include import INCLUDE, content_of, text_of
from hypercl.config.reading.keys import Entry, entries, sentence
from hypercl.config.reading.load import assign, load, loads, read, to_yaml
from hypercl.config.reading.paths import difference_line, differences, known_paths, lookup, resolved
from hypercl.config.reading.validation import validated
from hypercl.config.reading.yaml_text import dump, value_in_short, value_in_words, value_of
