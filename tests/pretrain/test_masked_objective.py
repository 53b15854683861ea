"""The masked objective against a slow reference: one clip at a time, with plain loops."""

import pytest
import torch

from mmpt.pretrain.tubelets import (
    cut_tubelets,
    normalise_pixels,
)
from mmpt.training.distributed import Counts
from mmpt.upstream.mmpt_av.conformer import sinusoids
from mmpt.upstream.mmpt_av.layout import speech_frames
from mmpt.upstream.mmpt_av.packing import Packing

from helpers.small_model import VIDEO, counts_of, masks_of, noise_batch, packed, small_model

CLIPS = [0, 1, 2, 3]


def clip_masks(masks, number):
    """A clip's seen and hidden audio tokens, as lists."""
    start, tokens = sum(masks.audio.lengths[:number]), masks.audio.lengths[number]
    inside = [
        [i - start for i in ids.tolist() if start <= i < start + tokens]
        for ids in (masks.audio_seen, masks.audio_hidden)
    ]
    return inside[0], inside[1], tokens


def decode_slowly(decoder, places):
    """The shared decoder's blocks over the (width,) vectors of one clip."""
    x = torch.stack(places)[None]
    for block in decoder.blocks:
        x = block(x)
    return decoder.norm(x)[0]


def slow_audio(model, feats, samples, masks, number):
    """Sum of squared errors a frame and number of frames of one clip, token by token."""
    seen, hidden, tokens = clip_masks(masks, number)
    encoder, decoder = model.encoder, model.decoder
    feats = feats.clone()
    if model.masked.audio_mask_at == "features":
        for token in hidden:
            feats[4 * token : 4 * token + 4] = 0
    x, _ = encoder.embed(*packed([feats]))
    if model.masked.audio_mask == "zero" and model.masked.audio_mask_at == "tokens":
        for token in hidden:
            x = torch.cat([x[:token], torch.zeros_like(x[:1]), x[token + 1 :]])
    encoded = seen if model.masked.audio_mask == "drop" else list(range(tokens))
    states = encoder.encode_packed(x[encoded], Packing([len(encoded)], x.device))
    positions = sinusoids(tokens, model.masked.decoder_width, x.device)
    places = []
    for token in range(tokens):
        place = decoder.audio_in(states[encoded.index(token)]) if token in encoded else decoder.audio_token
        places.append(place + positions[token])
    made = decoder.audio_out(decode_slowly(decoder, places))
    total, frames = 0.0, 0
    for token in range(tokens):
        if token in hidden or model.masked.loss_on == "all":
            for frame in range(4 * token, 4 * token + 4):
                if frame < speech_frames(samples):
                    mine = made[token][80 * (frame - 4 * token) : 80 * (frame - 4 * token) + 80]
                    total, frames = total + ((mine - original_of(number)[frame]) ** 2).mean(), frames + 1
    return total, frames, states


def original_of(number):
    return noise_batch([CLIPS[number]])[2][0]


def slow_video(model, video, masks, number):
    """Sum of squared errors a tubelet and number of tubelets of one clip."""
    seen, hidden = masks.video_seen[number].tolist(), masks.video_hidden[number].tolist()
    decoder, encoder, p, t = model.decoder, model.video_encoder, VIDEO.patch, VIDEO.tubelet
    side = VIDEO.size // p
    tubelets = []
    for time in range(VIDEO.times):
        for row in range(side):
            for column in range(side):
                piece = video[
                    number, :, time * t : time * t + t, row * p : row * p + p, column * p : column * p + p
                ].double()
                tubelets.append(((piece / 255 - 0.45) / 0.225).flatten())
    places = [
        encoder.positions.time[i // VIDEO.places] + encoder.positions.space[i % VIDEO.places]
        for i in range(VIDEO.tokens)
    ]
    x = torch.stack([encoder.embedding(tubelets[i]) + places[i] for i in seen])[None]
    for block in encoder.blocks:
        x = block(x)
    states = encoder.norm(x)[0]
    positions = decoder.video_positions
    filled = []
    for i in range(VIDEO.tokens):
        place = decoder.video_in(states[seen.index(i)]) if i in seen else decoder.video_token
        filled.append(place + positions.time[i // VIDEO.places] + positions.space[i % VIDEO.places])
    made = decoder.video_out(decode_slowly(decoder, filled))
    wanted = range(VIDEO.tokens) if model.masked.loss_on == "all" else hidden
    targets = [(x - x.mean()) / (x.var() + 1e-6).sqrt() if model.masked.normalise_pixels else x for x in tubelets]
    return sum(((made[i] - targets[i]) ** 2).mean() for i in wanted), len(wanted), states


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss_on": "all", "normalise_pixels": True},
        {"audio_mask": "zero"},
        {"audio_mask_at": "features"},
        {"audio_mask": "zero", "audio_mask_at": "features", "audio_share": 0.3, "video_share": 0.8},
    ],
    ids=str,
)
def test_losses_and_gradients_match_the_slow_reference(options):
    model = small_model("mae", **options).eval()
    ids, samples, feats, video = noise_batch(CLIPS)
    masks = masks_of(model, ids, samples)
    losses = model(*packed(feats), video, masks, Counts([counts_of(ids, masks)]))
    names = [name for name, _ in model.named_parameters() if "batch_norm" not in name]
    parameters = [p for name, p in model.named_parameters() if name in names]
    ours = torch.autograd.grad(losses["loss"], parameters)
    audio = [slow_audio(model, feats[n], samples[n], masks, n) for n in range(len(CLIPS))]
    pictures = [slow_video(model, video, masks, n) for n in range(len(CLIPS))]
    slow = {
        name: sum(total for total, *_ in parts) / sum(number for _, number, _ in parts)
        for name, parts in (("audio", audio), ("video", pictures))
    }
    for name, value in slow.items():
        assert losses[name].item() == pytest.approx(value.item(), rel=1e-6), name  # positions and pixels are float32
    reference = torch.autograd.grad(slow["audio"] + 0.5 * slow["video"], parameters)
    for name, a, b in zip(names, ours, reference):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6 * b.abs().max().item() + 1e-12, msg=name)
        assert b.abs().max() > 0, name


def test_contrast_sees_a_second_pass_or_the_masked_encodings():
    ids, samples, feats, video = noise_batch(CLIPS)
    for sees in ("everything", "masked"):
        model = small_model("mae+clr", clr_sees=sees).eval()
        masks = masks_of(model, ids, samples)
        counts = Counts([counts_of(ids, masks)])
        losses = model(*packed(feats), video, masks, counts)
        if sees == "masked":
            audio = [slow_audio(model, feats[n], samples[n], masks, n)[2].mean(0) for n in range(len(CLIPS))]
            pictures = [slow_video(model, video, masks, n)[2].mean(0) for n in range(len(CLIPS))]
        else:
            audio = [model.encoder.encode_features([one]).hidden_states[-1][0].mean(0) for one in feats]
            pictures = [model.video_encoder.pool(one[None])[0] for one in video]
        clr = model.contrast(*model.project(torch.stack(audio), torch.stack(pictures)), counts)
        assert losses["clr"].item() == pytest.approx(clr.item(), rel=1e-6)
        assert losses["loss"].item() == pytest.approx(
            (losses["audio"] + 0.5 * losses["video"] + 2 * losses["clr"]).item(), rel=1e-9
        )


def test_pooling_pixels_equals_pooling_embeddings():
    model = small_model("clr").eval()
    video = noise_batch(CLIPS)[3]
    encoder = model.video_encoder
    tokens = encoder.embedding(normalise_pixels(cut_tubelets(video, VIDEO)).double()) + encoder.positions()
    slow = encoder.run(tokens.unflatten(1, (VIDEO.times, VIDEO.places)).mean(2)).mean(1)
    torch.testing.assert_close(encoder.pool(video), slow, rtol=1e-5, atol=1e-6)


def test_parts_of_an_update_add_up_to_the_whole():
    """Each frame and tubelet counts the same, whatever part or rank it lies in."""
    model = small_model("mae").eval()
    batches = [noise_batch(part) for part in ([0, 1, 2], [3, 4], [5])]
    masks = [masks_of(model, ids, samples) for ids, samples, *_ in batches]
    total = Counts(
        [{name: sum(counts_of(b[0], m)[name] for b, m in zip(batches, masks)) for name in counts_of([], masks[0])}]
    )
    parts = [model(*packed(feats), video, m, total) for (_, _, feats, video), m in zip(batches, masks)]
    ids, samples, feats, video = noise_batch(list(range(6)))
    whole_masks = masks_of(model, ids, samples)
    whole = model(*packed(feats), video, whole_masks, Counts([counts_of(ids, whole_masks)]))
    for name, value in whole.items():
        assert sum(part[name] for part in parts).item() == pytest.approx(value.item(), rel=1e-9)


def test_each_objective_trains_all_that_it_builds():
    ids, samples, feats, video = noise_batch(CLIPS)
    for objective in ("clr", "mae", "mae+clr"):
        model = small_model(objective)
        masks = masks_of(model, ids, samples)
        model(*packed(feats), video, masks, Counts([counts_of(ids, masks)]))["loss"].backward()
        assert [name for name, p in model.named_parameters() if p.grad is None] == []
