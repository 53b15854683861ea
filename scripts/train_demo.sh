#!/usr/bin/env bash
# Trains the encoder that comes with the repository, samples/encoders/demo.pt: by CLR on clips, then on translation to
# Italian, then on English transcripts. An hour and three quarters on two CPU cores. Run it again after an interruption.
#   bash scripts/train_demo.sh [OUT [NAME=VALUE ...]]
# OUT: the folder of the three trainings (default: runs/demo); the encoder is OUT/demo.pt.
# NAME=VALUE: settings of all three trainings; optim.steps=2 tries whether everything runs.
# The data are data/full, all of the samples, built if absent; $MMPT_SAMPLES names another build.
set -euo pipefail
case "${1:-}" in
    -h|--help) sed -n '2,7s/^# //p' "$0"; exit ;;
    -*) echo "usage: bash scripts/train_demo.sh [OUT [NAME=VALUE ...]]" >&2; exit 2 ;;
esac
repository="$(cd "$(dirname "$0")/.." && pwd)"
programs="$repository/.venv/bin"
out="${1:-runs/demo}"
settings=("${@:2}")
kept="$out/settings.txt" # those of an earlier call
if [ -e "$kept" ] && [ "$(cat "$kept")" != "${settings[*]-}" ]; then
    echo "$out: holds trainings with other settings ($(cat "$kept")); name another folder" >&2; exit 2
fi
mkdir -p "$out"
echo "${settings[*]-}" > "$kept"
samples="${MMPT_SAMPLES:-$repository/data/full}"
[ -e "$samples/built.json" ] || "$programs/mmpt" samples --out "$samples" --full

train() { # COMMAND RUN OPTION...
    local command=$1 run=$2
    shift 2
    if [ -e "$run/encoder.pt" ]; then echo "$run: is trained"; return; fi
    # Two processes with a thread each on any machine: other numbers of them give other weights.
    OMP_NUM_THREADS=1 "$programs/torchrun" --standalone --nproc-per-node 2 "$repository/$command/run.py" \
        --config "$repository/$command/configs/samples.yaml" --out "$run" --resume-if-there device=cpu "$@" \
        ${settings[@]+"${settings[@]}"}
}

train pretrain "$out/clr" --objective clr --data "$samples/av/manifest.tsv" \
    preset=compact optim.steps=400 validate_every=100

midtrain=(data.batch_frames=8000 optim.lr=2e-3 checkpoint_every=200)
train midtrain "$out/it" --target-lang it --data "$samples/must_c" --init "$out/clr/encoder.pt" "${midtrain[@]}" \
    "speeds=[0.9,1.0,1.1]" specaugment.freq_masks=2 specaugment.time_masks=2 \
    optim.steps=1400 optim.warmup_steps=140 validate_every=200

[ -e "$out/transcripts/corpus.json" ] || "$programs/mmpt" prepare transcripts --root "$samples/LibriSpeech" \
    --train train-clean-100 train-other-500 --vocabulary-size 200 --out "$out/transcripts"
# 80 times through the same hours: speeds, which shift voices, and masks keep them from being learnt by heart.
train midtrain "$out/en" --target-lang en --data "$out/transcripts" --init "$out/it/encoder.pt" "${midtrain[@]}" \
    "speeds=[0.8,0.85,0.9,0.95,1.0,1.05,1.1,1.15,1.2]" specaugment.freq_width=27 \
    optim.steps=16000 optim.warmup_steps=500 validate_every=500

[ -e "$out/demo.pt" ] || "$programs/mmpt" export "$out/en" --half --out "$out/demo.pt"
