"""What a clip shows, on rendered scenes whose boxes and words are known."""

import numpy as np
import pytest

from ivgbench import world
from ivgbench.boxes import iou
from ivgbench.errors import UserError
from ivgbench.study import drawn


def test_the_sprite_of_a_rendered_clip_is_found_where_it_is():
    overlaps = []
    for index in range(6):
        clip = world.sample_scene("tuning", index, second=0.0)
        caption = drawn.words(clip.caption)
        masks, boxes = drawn.sprite(clip.video, caption)
        overlaps.append(iou(clip.sprites[0].boxes, boxes).mean())
        assert masks.any((1, 2)).all() and masks.mean() < 0.5
        assert drawn.share_right(clip.video, caption).tolist() == [1, 1, 1]
    assert np.mean(overlaps) > 0.8


def test_an_empty_frame_has_no_sprite_and_no_right_subject():
    caption = drawn.words("a red star on a grey background")
    ground = np.broadcast_to(np.array(world.BACKGROUNDS["grey"], np.uint8), (2, 48, 80, 3))
    masks, boxes = drawn.sprite(ground, caption)
    assert not masks.any() and np.isnan(boxes).all()
    assert drawn.share_right(ground, caption).tolist() == [1, 0, 0]


def test_other_sentences_are_refused():
    with pytest.raises(UserError, match="not 'a cat'"):
        drawn.words("a cat")
    with pytest.raises(UserError, match="with one subject"):
        drawn.words("a red star and a blue ring on a grey background")


def test_average_precision_by_hand():
    mask = np.array([[1, 0], [1, 0]])
    assert drawn.average_precision(np.array([[4, 2], [3, 1]]), mask) == 1
    # Hits at ranks 1 and 3: (1/1 + 2/3) / 2.
    assert drawn.average_precision(np.array([[4, 3], [2, 1]]), mask) == pytest.approx((1 + 2 / 3) / 2)
    assert drawn.average_precision(np.zeros((2, 2)), mask) == 0.5  # the mask's share
    assert np.isnan(drawn.average_precision(np.zeros((2, 2)), np.zeros((2, 2))))
