"""Localisation metrics as plain loops: what featx.metrics is compared with, in tests and in benchmarks.

Written from the words of the rules (ActivityNet's program, THUMOS14's kit, DETAD), one detection after another, without
featx. A detection is (video, label, start, end, score), an instance (video, label, start, end), an ambiguous interval
(video, start, end).
"""

import math

import numpy as np


def iou(a_start, a_end, b_start, b_end):
    shared = max(min(a_end, b_end) - max(a_start, b_start), 0.0)
    union = (b_end - b_start) + (a_end - a_start) - shared
    return shared / union if union else math.nan


def hull_overlap(a_start, a_end, b_start, b_end):
    shared = min(a_end, b_end) - max(a_start, b_start)
    return shared / (max(a_end, b_end) - min(a_start, b_start)) if shared > 0 else 0.0


def by_score(detections):
    return sorted(detections, key=lambda one: -one[4])  # stable: of equal scores the earlier stays first


def of_videos(rows):
    videos = {}
    for row in rows:
        videos.setdefault(row[0], []).append(row)
    return videos


def envelope_area(flags, positives):
    """Area under the precision envelope over recall: the running maximum from the right, at every step of recall."""
    precisions, recalls, right = [], [], 0
    for number, flag in enumerate(flags, start=1):
        right += flag
        precisions.append(right / number)
        recalls.append(right / positives)
    best = 0.0
    for index in reversed(range(len(precisions))):
        best = precisions[index] = max(best, precisions[index])
    area, before = 0.0, 0.0
    for precision, recall in zip(precisions, recalls, strict=True):
        area += (recall - before) * precision
        before = recall
    return area


def average_precision_official(detections, instances, thresholds):
    """APs of one class: detections by score take the best instance of their video that is free and overlaps enough."""
    instances_of = of_videos(instances)
    taken = [{video: [False] * len(rows) for video, rows in instances_of.items()} for _ in thresholds]
    flags = [[] for _ in thresholds]
    for video, _, start, end, _ in by_score(detections):
        overlaps = [iou(start, end, row[2], row[3]) for row in instances_of.get(video, [])]
        # NaN is smaller than no threshold and sorts as the largest, so it counts as the best match
        order = sorted(
            range(len(overlaps)), key=lambda one: -math.inf if math.isnan(overlaps[one]) else -overlaps[one]
        )
        for at, threshold in enumerate(thresholds):
            hit = False
            for one in order:
                if overlaps[one] < threshold:
                    break
                if not taken[at][video][one]:
                    taken[at][video][one] = hit = True
                    break
            flags[at].append(hit)
    return [envelope_area(some, len(instances)) for some in flags]


def average_precision_as_the_program(detections, instances, thresholds):
    """APs of one class as ActivityNet's program goes about it: NumPy for one detection's overlaps, locks for each threshold.

    Its tables of pandas are arrays and dictionaries here, and its sort is stable.
    """
    videos, spans = [row[0] for row in instances], np.array([row[2:4] for row in instances])
    places_of = {}
    for place, video in enumerate(videos):
        places_of.setdefault(video, []).append(place)
    free = np.ones((len(thresholds), len(instances)), dtype=bool)
    ranked = by_score(detections)
    right, wrong = np.zeros((len(thresholds), len(ranked))), np.zeros((len(thresholds), len(ranked)))
    for rank, (video, _, start, end, _) in enumerate(ranked):
        if video not in places_of:
            wrong[:, rank] = 1
            continue
        places = places_of[video]
        own = spans[places]
        shared = (np.minimum(end, own[:, 1]) - np.maximum(start, own[:, 0])).clip(0)
        overlaps = shared / ((own[:, 1] - own[:, 0]) + (end - start) - shared)
        best_first = overlaps.argsort()[::-1]
        for at, threshold in enumerate(thresholds):
            for one in best_first:
                if overlaps[one] < threshold:
                    wrong[at, rank] = 1
                    break
                if free[at, places[one]]:
                    right[at, rank], free[at, places[one]] = 1, False
                    break
            if not wrong[at, rank] and not right[at, rank]:
                wrong[at, rank] = 1
    areas = []
    for hits, misses in zip(right.cumsum(axis=1), wrong.cumsum(axis=1), strict=True):
        precision, recall = [0, *(hits / (hits + misses)), 0], [0, *(hits / len(instances)), 1]
        for index in reversed(range(len(precision) - 1)):
            precision[index] = max(precision[index], precision[index + 1])
        steps = [index for index in range(1, len(recall)) if recall[index] != recall[index - 1]]
        areas.append(sum((recall[index] - recall[index - 1]) * precision[index] for index in steps))
    return areas


def average_precision_thumos(detections, instances, ambiguous, thresholds):
    """APs of one class: instances in their order take the free detection that overlaps most, if strictly more."""
    instances_of, ambiguous_of = of_videos(instances), of_videos(ambiguous)
    flagged = [[] for _ in thresholds]
    ranked_of = of_videos((row[0], rank, row) for rank, row in enumerate(by_score(detections)))
    for video, own in ranked_of.items():
        spared = [
            sum(hull_overlap(a[1], a[2], row[2], row[3]) for a in ambiguous_of.get(video, []))
            for _, _, row in own
        ]
        overlaps = [
            [hull_overlap(start, end, row[2], row[3]) for _, _, row in own]
            for _, _, start, end in instances_of.get(video, [])
        ]
        for at, threshold in enumerate(thresholds):
            hit = [False] * len(own)
            for of_instance in overlaps:
                best, best_overlap = None, threshold
                for index, overlap in enumerate(of_instance):
                    if not hit[index] and overlap > best_overlap:
                        best, best_overlap = index, overlap
                if best is not None:
                    hit[best] = True
            flagged[at] += [
                (rank, hit[index])
                for index, (_, rank, _) in enumerate(own)
                if hit[index] or not spared[index]
            ]
    return [precision_at_hits(sorted(some), len(instances)) for some in flagged]


def precision_at_hits(flagged, positives):
    right = area = 0
    for number, (_, flag) in enumerate(flagged, start=1):
        right += flag
        area += flag * right / number
    return area / positives


def mean_average_precision(detections, instances, ambiguous, thresholds, rule):
    """The APs at the thresholds of each class of the ground truth, in the order of the labels."""
    if rule == "dedup":
        instances = [row for row in dict.fromkeys(instances) if row[3] > row[2]]
    found_of, shown_of = {}, {}
    for row in detections:
        found_of.setdefault(row[1], []).append(row)
    for row in instances:
        shown_of.setdefault(row[1], []).append(row)
    aps = {}
    for label in sorted(shown_of):
        found = found_of.get(label, [])
        if rule == "thumos-matlab":
            aps[label] = average_precision_thumos(found, shown_of[label], ambiguous, thresholds)
        elif rule == "program":
            aps[label] = average_precision_as_the_program(found, shown_of[label], thresholds)
        else:
            aps[label] = average_precision_official(found, shown_of[label], thresholds)
    return aps


def average_recall(proposals, instances, thresholds, most=100):
    """ActivityNet's average recall: (average numbers, recall at each threshold and number)."""
    instances_of, proposals_of = of_videos(instances), of_videos(by_score(proposals))
    videos = list(instances_of)
    ratio = most * len(videos) / len(proposals)
    kept = {}
    for video in videos:
        own = proposals_of.get(video, [])
        kept[video] = own[: min(int(len(own) * ratio), len(own))]
    total = sum(map(len, kept.values()))
    numbers, recalls = [], [[] for _ in thresholds]
    for point in range(1, 101):
        share = point / 100.0 * (most * len(videos) / total)
        numbers.append(share * (total / len(videos)))
        for recall, threshold in zip(recalls, thresholds, strict=True):
            found = 0
            for video in videos:
                own = kept[video][: min(int(len(kept[video]) * share), len(kept[video]))]
                for _, _, start, end in instances_of[video]:
                    found += any(iou(start, end, row[2], row[3]) >= threshold for row in own)
            recall.append(found / len(instances))
    return numbers, recalls


def kind_of_false_positive(detection, instances, threshold):
    """DETAD's name of a wrong detection, by the instance of its video that it overlaps most."""
    video, label, start, end, _ = detection
    best, best_label = -1.0, None
    for other, other_label, other_start, other_end in instances:
        if other == video:
            overlap = iou(start, end, other_start, other_end)
            if overlap > best:
                best, best_label = overlap, other_label
    if best >= threshold:
        return "double detection" if best_label == label else "wrong label"
    if best >= 0.1:
        return "localisation" if best_label == label else "confusion"
    return "background"
