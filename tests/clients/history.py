"""Checks of what clients saw against what they wrote.

A client numbers its writes 1, 2, 3...; write 0 of a key is what it was at first. Each key has a
sorted list of the numbers that wrote it; a deletion is a write whose value is None.
"""

import bisect


class History:
    """Writes of one client, in the order in which they were carried out."""

    def __init__(self, first):
        """`first`: {key: value or None}, the state before write 1."""
        self.first = dict(first)
        self.writes = {key: [] for key in first}
        self.values = {}
        self.count = 0

    def write(self, key, value):
        """Notes one more write and returns its number."""
        self.count += 1
        self.writes[key].append(self.count)
        self.values[self.count] = value
        return self.count

    def value_at(self, key, number):
        """What the key holds after the writes up to `number`."""
        writes = self.writes[key]
        at = bisect.bisect_right(writes, number)
        return self.values[writes[at - 1]] if at else self.first[key]

    def state_at(self, number):
        """{key: value or None} after the writes up to `number`."""
        return {key: self.value_at(key, number) for key in self.first}

    def without(self, after, upto):
        """A history in which the writes behind `after` up to `upto` were taken back."""
        taken = History(self.first)
        taken.count = self.count
        for key, writes in self.writes.items():
            left = [number for number in writes if not after < number <= upto]
            taken.writes[key] = left
            taken.values.update((number, self.values[number]) for number in left)
        return taken

    def prefixes(self, found):
        """The numbers n such that `found` is the state after the writes up to n."""
        change = [0] * (self.count + 2)
        for key, value in found.items():
            ends = [0, *self.writes[key], self.count + 1]
            held = [self.first[key], *(self.values[n] for n in self.writes[key])]
            for at, was in enumerate(held):
                if was == value:
                    change[ends[at]] += 1
                    change[ends[at + 1]] -= 1
        good, sum_here = [], 0
        for number in range(self.count + 1):
            sum_here += change[number]
            if sum_here == len(found):
                good.append(number)
        return good

    def blame(self, found, number):
        """Some keys that differ from the state after the writes up to `number`, for messages."""
        wrong = [(key, value, self.value_at(key, number)) for key, value in found.items()
                 if value != self.value_at(key, number)]
        return f"{len(wrong)} of {len(found)} keys; (key, found, expected): {wrong[:5]}"
