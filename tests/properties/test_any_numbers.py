"""Boxes, features and scores: every metric stays in its range, or refuses its input in one line."""

import math
import warnings

import numpy as np
import pytest
from generated import answer, holds_for
from hypothesis import strategies as st

from ivgbench import boxes
from ivgbench.metrics import clip_sim, control, kernel, stats
from ivgbench.metrics.fid import fid, gaussian
from ivgbench.metrics.fid import interval as fid_interval
from ivgbench.metrics.jedi import jedi, jedi_unbiased
from ivgbench.metrics.kid import cubic, kid, kid_xvideo

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

plain = st.floats(-1, 2)
#: No number of a box or a score is as large as what overflows; such features are tried below.
wild = st.one_of(
    plain, st.floats(-1e100, 1e100), st.sampled_from([0.0, -0.0, 1.0, 0.5, math.nan, math.inf, -math.inf, 5e-324, 1e18])
)
box = st.lists(plain, min_size=4, max_size=4)
wild_box = st.lists(wild, min_size=4, max_size=4)


@st.composite
def keyframes(draw, numbers):
    frames = draw(st.integers(1, 12))
    at = draw(st.lists(st.integers(0, frames - 1), min_size=1, max_size=4, unique=True))
    return {frame: draw(st.lists(numbers, min_size=4, max_size=4)) for frame in at}, frames


def within(track, boxes_given):
    """A path between boxes stays in their hull, up to a rounding error."""
    low, high = np.min(boxes_given, 0), np.max(boxes_given, 0)
    slack = 1e-12 * np.maximum(np.abs(low), np.abs(high))
    assert (track >= low - slack).all() and (track <= high + slack).all()


@holds_for(keyframes(plain))
def test_a_path_between_boxes_stays_between_them(given_):
    keys, frames = given_
    track = boxes.interpolate(keys, frames)
    assert track.shape == (frames, 4) and track.dtype == np.float64
    within(track, list(keys.values()))
    for frame, one in keys.items():
        assert track[frame].tolist() == one


@holds_for(keyframes(wild))
def test_any_keyframes(given_):
    track = answer(lambda: boxes.check(boxes.interpolate(*given_), "--box"))
    if track is not None:
        assert track.min() >= 0 and track.max() <= 1 and boxes.area(track).min() >= 0
        within(track, list(given_[0].values()))


@holds_for(st.dictionaries(st.integers(-2, 9), box, max_size=3), st.integers(-1, 6))
def test_keyframes_outside_of_the_clip(keys, frames):
    track = answer(boxes.interpolate, keys, frames)
    assert track is None or track.shape == (frames, 4)


@holds_for(st.lists(box, max_size=6), st.integers(-1, 12))
def test_another_number_of_frames(track, frames):
    made = answer(boxes.resample, np.array(track).reshape(-1, 4), frames)
    if made is not None:
        assert made.shape == (frames, 4)
        within(made, track)
        assert made[0].tolist() == track[0] and (frames == 1 or np.allclose(made[-1], track[-1]))


@holds_for(st.lists(st.tuples(wild_box, wild_box), min_size=1, max_size=5))
def test_overlap_is_a_share(pairs):
    a, b = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    finite = np.isfinite(a).all(1) & np.isfinite(b).all(1) & (np.abs(a) < 1e100).all(1) & (np.abs(b) < 1e100).all(1)
    a, b = a[finite], b[finite]
    value = boxes.iou(a, b)
    assert (value >= 0).all() and (value <= 1).all() and np.array_equal(value, boxes.iou(b, a))
    own = boxes.iou(a, a)
    assert ((own == 1) | (boxes.area(a) == 0)).all()


@holds_for(st.lists(wild_box, min_size=1, max_size=4), st.integers(1, 9), st.integers(1, 9))
def test_the_cells_of_a_box(track, height, width):
    track = np.array(track)[np.isfinite(track).all(1)]
    cells = boxes.rasterise(track, height, width)
    assert cells.shape == (len(track), height, width) and cells.dtype == bool
    for one, mine in zip(track, cells, strict=True):
        inside = one[0] <= 0 and one[1] <= 0 and one[2] >= 1 and one[3] >= 1
        assert mine.all() if inside else True
        assert not mine.any() if boxes.area(one) == 0 and (one[2] <= one[0] or one[3] <= one[1]) else True


# ---- control


tracks = st.lists(st.one_of(box, wild_box), min_size=1, max_size=6)
found = st.lists(st.one_of(box, box, st.just([math.nan] * 4), wild_box), min_size=1, max_size=6)


@holds_for(
    tracks, found, st.sampled_from([*control.VARIANTS, "other"]), st.tuples(st.integers(-1, 40), st.integers(1, 40))
)
def test_control_stays_in_its_range(asked, detected, variant, size):
    if variant == "clean":  # equal lengths are its business more than refusing others
        asked, detected = asked[: len(detected)], detected[: len(asked)]
    values = answer(control.score, np.array(asked), np.array(detected), variant, size)
    if values is None:
        return
    assert type(values["covered"]) is bool and 0 <= values["n_detected"] <= len(detected)
    assert values["n_frames"] <= len(asked)
    for name in ("miou", "miou_det", "miou_volume", "ap50", "ap50_strict"):
        top = math.inf if variant == "trailblazer" and name in ("miou", "miou_det") else 1
        assert math.isnan(values[name]) or 0 <= values[name] <= top, name
    assert math.isnan(values["centroid_distance"]) or values["centroid_distance"] >= 0
    if variant == "clean" and values["n_frames"]:
        assert values["covered"] == (2 * values["n_detected"] > values["n_frames"])
        assert not math.isnan(values["miou"])


@holds_for(
    st.lists(
        st.tuples(st.floats(0, 0.4), st.floats(0, 0.4), st.floats(0.5, 1), st.floats(0.5, 1)), min_size=1, max_size=5
    )
)
def test_what_is_found_where_it_was_asked_is_perfect(track):
    values = control.score(np.array(track), np.array(track))
    assert (values["covered"], values["miou"], values["ap50"]) == (True, 1, 1)
    assert values["centroid_distance"] == pytest.approx(0, abs=1e-12)


rows_of_text = st.lists(st.lists(st.text(max_size=2), min_size=4, max_size=4), max_size=2)
ragged = st.lists(st.lists(wild, max_size=5), max_size=3)


@holds_for(st.one_of(st.none(), wild, st.lists(wild, max_size=5), ragged, st.text(max_size=3), rows_of_text))
def test_tracks_of_another_kind(track):
    checked = answer(boxes.check, track, "here")
    assert checked is None or checked.shape[1] == 4
    values = answer(control.score, track, track)
    assert values is None or values["n_frames"] >= 0


# ---- features


@st.composite
def feature_sets(draw, wild=False):
    """Two sets of features, [N,D] and [M,D]: spread, repeated, constant, of any size; `wild`: any shape and number."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width, made = draw(st.integers(1, 6)), []
    for _ in range(2):
        shape = (draw(st.integers(2, 12)), width)
        one = rng.normal(size=shape) * 10.0 ** draw(st.integers(-8, 6)) + draw(st.sampled_from([0, 1, -1e6]))
        kind = draw(st.sampled_from(["spread", "repeated", "constant", "sparse", "zero"]))
        if kind == "repeated":
            one = one[rng.integers(0, 2, len(one))]
        elif kind == "constant":
            one = np.repeat(one[:1], len(one), 0)
        elif kind == "sparse":
            one = np.where(rng.random(one.shape) < 0.7, 0, one)
        elif kind == "zero":
            one = np.zeros_like(one)
        made.append(one)
    if draw(st.booleans()):
        made[1] = made[0].copy()
    if wild:
        side = draw(st.integers(0, 1))
        fault = draw(st.sampled_from(["number", "scale", "row", "width", "shape", "dtype", "none"]))
        if fault == "number":
            made[side].flat[draw(st.integers(0, made[side].size - 1))] = draw(st.floats())
        elif fault == "scale":
            with np.errstate(all="ignore"):
                made[side] = made[side] * 10.0 ** draw(st.integers(-300, 300))
        elif fault == "row":
            made[side] = made[side][: draw(st.integers(0, 1))]
        elif fault == "width":
            made[side] = made[side][:, : draw(st.integers(0, width))]
        elif fault == "shape":
            made[side] = made[side].reshape(
                draw(st.sampled_from([(-1,), (1, *made[side].shape), (*made[side].shape, 1)]))
            )
        elif fault == "dtype":
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made[side] = made[side].astype(
                    draw(st.sampled_from(["float16", "float32", "int8", "str", "complex128"]))
                )
    return made


def distances(x, y):
    """Every distance between two sets, by name. None where it is refused."""
    size = max(2, min(len(x), len(y)))
    return {
        "fid": answer(fid, x, y),
        "kid": answer(kid, x, y, 5, size),
        "jedi": answer(jedi, x, y),
        "jedi_unbiased": answer(jedi_unbiased, x, y),
        "kid_xvideo": answer(kid_xvideo, x, y, np.arange(len(x)) // 2, np.arange(len(y)) // 2),
    }


def scale_of(x, y):
    """What rounding errors of second moments are measured against."""
    return sum(float(np.square(np.asarray(one, dtype=np.float64)).sum(1).max()) for one in (x, y))


@holds_for(feature_sets())
def test_distances_of_features(sets):
    x, y = sets
    there, back, own = distances(x, y), distances(y, x), distances(x, x)
    assert None not in there.values()
    assert there["fid"] >= 0 and there["jedi"] >= 0 and there["kid"][1] >= 0
    assert all(np.isfinite(there[name]).all() for name in ("fid", "kid", "jedi", "jedi_unbiased"))
    scale = scale_of(x, y)
    assert there["fid"] == pytest.approx(back["fid"], rel=1e-6, abs=1e-6 * scale)
    assert there["jedi"] == pytest.approx(back["jedi"], rel=1e-6, abs=1e-12 * scale**2)
    assert own["fid"] == pytest.approx(0, abs=1e-6 * scale) and own["jedi"] == 0


@holds_for(feature_sets(wild=True))
def test_distances_of_anything(sets):
    for name, value in distances(*sets).items():
        if value is not None and name != "kid_xvideo":
            assert np.isfinite(value).all(), name
            assert name not in ("fid", "jedi") or value >= 0, name


@holds_for(feature_sets(), dear=4)
def test_intervals_of_distances(sets):
    x, y = sets
    owner = np.arange(len(x)) // 2
    told = fid_interval(x, owner, gaussian(y), resamples=10)
    assert told.value == fid(x, y) and (math.isnan(told.low) or 0 <= told.low <= told.high)
    sums = kernel.video_sums(x, y, owner, np.arange(len(y)) // 2, cubic(x.shape[1]))
    told = kernel.interval(sums, resamples=20)
    assert math.isnan(told.low) or told.low <= told.high


@st.composite
def unit_vectors(draw, width=6):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    made = rng.normal(size=(draw(st.integers(1, 5)), width))
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@holds_for(unit_vectors(), unit_vectors(), st.one_of(st.none(), st.tuples(st.integers(0, 4), wild)), st.booleans())
def test_clip_sim_stays_in_its_range(frames, captions, fault, narrow):
    if fault is not None:
        frames = frames.copy()
        frames[fault[0] % len(frames), 0] = fault[1]
    frames = frames[:, :3] if narrow else frames
    value = answer(clip_sim.clip_sim, frames, captions[0])
    assert value is None or -100.2 <= value <= 100.2
    prompts = [str(number % 2) for number in range(len(captions))]
    value = answer(clip_sim.shuffled, frames, "0", prompts, captions)
    assert value is None or math.isnan(value) or -100.2 <= value <= 100.2


@holds_for(wild, wild, wild)
def test_what_is_attained(value, floor, ceiling):
    with np.errstate(all="ignore"):
        share = answer(clip_sim.attained, value, floor, ceiling)
    if floor <= value <= ceiling and floor < ceiling < 1e300 and floor > -1e300:
        assert 0 <= share <= 1


# ---- statistics


values = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.nan)), max_size=12)


@holds_for(values, dear=2)
def test_a_mean_lies_among_its_values(given_):
    told = stats.mean(np.array(given_), resamples=50)
    known = [one for one in given_ if not math.isnan(one)]
    assert (told.n, told.total) == (len(known), len(given_))
    if known:
        slack = 1e-9 * max(map(abs, known))
        assert min(known) - slack <= told.value <= max(known) + slack
        ends = (min(known) - slack, told.low, told.high, max(known) + slack)
        assert math.isnan(told.low) == (len(known) < 2) and (len(known) < 2 or list(ends) == sorted(ends))
    else:
        assert math.isnan(told.value)


@holds_for(values, st.lists(st.one_of(st.just(0.0), st.floats(1e-3, 10)), max_size=12))
def test_a_ratio_of_sums(top, bottom):
    told = answer(lambda: stats.ratio(np.array(top), np.array(bottom), resamples=20))
    assert told is None or (told.n <= told.total == len(top) and (told.n > 0) == math.isfinite(told.value))


@holds_for(
    st.one_of(
        st.lists(wild, max_size=6), st.lists(st.lists(wild, max_size=2), max_size=2), st.text(max_size=3), st.none()
    )
)
def test_statistics_of_anything(given_):
    for call in (
        lambda: stats.mean(given_, 20),
        lambda: stats.paired_difference(given_, given_, 20),
        lambda: stats.holm(given_),
    ):
        told = answer(call)
        if isinstance(told, stats.Interval):
            assert told.n == 0 or math.isfinite(told.value)
        elif told is not None:
            assert ((told >= 0) & (told <= 1)).all()
