"""What mining should give, in plain loops that share no code with it."""

import math


def em_transitions(probs, labels, classes, rounds=15, strength=10.0):
    """Return T[g][k] of a softmax as lists: the formulas, sample by sample."""
    prior = [[0.9 if g == k else 0.1 / (classes - 1) for k in range(classes)] for g in range(classes)]
    found = prior
    for _ in range(rounds):
        sums = [[strength * prior[g][k] for k in range(classes)] for g in range(classes)]
        for row, y in zip(probs, labels, strict=True):
            shares = [float(row[k]) * found[y][k] for k in range(classes)]
            total = math.fsum(shares)
            for k in range(classes):
                sums[y][k] += shares[k] / total
        columns = [math.fsum(sums[g][k] for g in range(classes)) for k in range(classes)]
        found = [[sums[g][k] / columns[k] for k in range(classes)] for g in range(classes)]
    return found


def label_error_score(row, y, found):
    """Return the log-odds of a softmax's label by the definition."""
    others = [math.log(row[k]) + math.log(found[y][k]) for k in range(len(row)) if k != y]
    return max(others) - math.log(row[y]) - math.log(found[y][y])


def posterior_wrong(row, y, found):
    """Return the posterior chance that the label is wrong."""
    shares = [float(row[k]) * found[y][k] for k in range(len(row))]
    return math.fsum(s for k, s in enumerate(shares) if k != y) / math.fsum(shares)


def p_wrong(probs, labels, found, expected):
    """Return how likely each label is wrong: the odds times a number, the mean halfway to the expected errors."""
    posterior = [posterior_wrong(row, y, found) for row, y in zip(probs, labels, strict=True)]
    target = (math.fsum(posterior) + expected) / 2
    low, high = 1e-30, 1e30
    for _ in range(300):
        factor = math.sqrt(low * high)
        scaled = [p * factor / (1 - p + p * factor) for p in posterior]
        low, high = (factor, high) if math.fsum(scaled) < target else (low, factor)
    return scaled


def expected_errors(probs, labels, classes):
    """Return the number of errors by the calibrated confident joint."""
    thresholds = []
    for j in range(classes):
        own = [float(row[j]) for row, y in zip(probs, labels, strict=True) if y == j]
        thresholds.append(math.fsum(own) / len(own) - 1e-6 if own else math.inf)
    joint = [[0] * classes for _ in range(classes)]
    for row, y in zip(probs, labels, strict=True):
        reached = [j for j in range(classes) if row[j] >= thresholds[j]]
        if reached:
            joint[y][max(reached, key=lambda j: row[j])] += 1
    total = 0.0
    for y in range(classes):
        counted = sum(joint[y])
        if counted:
            total += sum(label == y for label in labels) * (counted - joint[y][y]) / counted
    return total


def best(rows, limit=None, per_class=None):
    """Return (key, index, quota) triples by key, highest first, ties by index."""
    taken, kept = {}, []
    for row in sorted(rows, key=lambda row: (-row[0], row[1])):
        taken[row[2]] = taken.get(row[2], 0) + 1
        if per_class is None or taken[row[2]] <= per_class:
            kept.append(row)
    return kept[:limit]


def disagreement_regions(labels, preds):
    """Return the 4-connected regions of a 2-d disagreement, as sets of positions, by flood fill."""
    height, width = len(labels), len(labels[0])
    waiting = {(i, j) for i in range(height) for j in range(width) if labels[i][j] != preds[i][j]}
    regions = []
    while waiting:
        front, region = [waiting.pop()], set()
        while front:
            i, j = front.pop()
            region.add((i, j))
            for place in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                if place in waiting:
                    waiting.remove(place)
                    front.append(place)
        regions.append(region)
    return regions
