import unittest

from stats import mean, median


class Hidden(unittest.TestCase):
    def test_even(self):
        self.assertEqual(median([10, 2, 38, 23]), 16.5)
        self.assertEqual(median([1.5, 2.5]), 2)

    def test_odd(self):
        self.assertEqual(median([9]), 9)
        self.assertEqual(median([5, 3, 1]), 3)

    def test_the_argument_is_left_alone(self):
        values = [3, 1, 2, 4]
        median(values)
        self.assertEqual(values, [3, 1, 2, 4])

    def test_mean_is_as_before(self):
        self.assertEqual(mean([2, 4]), 3)
