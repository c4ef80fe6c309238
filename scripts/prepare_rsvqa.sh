#!/usr/bin/env bash
# Download RSVQA from Zenodo, unpack it, convert its splits to OUTPUT_DIR/{train,val,test}.jsonl, validate them.
#
#   SUBSET=LR bash scripts/prepare_rsvqa.sh
#
# Environment:
#   SUBSET         LR (0.2 GB), HR (14 GB) or XBEN (Sentinel-2, 590,326 images)   (default: LR)
#   OUTPUT_DIR     what training reads, also its IMAGE_FOLDER    (default: data/rsvqa_lr, _hr or _xben)
#   SOURCE_DIR     folder with the official files; nothing is downloaded then
#   ZENODO_URL     base address of Zenodo or of a mirror         (default: https://zenodo.org)
#   MAX_PER_IMAGE  at most so many training questions per image, 0 for all                  (default: 0)
#   BALANCE=1      within each type, cut the commonest training answer to the second's count
#   SKIP_BAD_ROWS=1  leave bad rows out (written to <split>.rejects.jsonl)
# An interrupted download goes on where it stopped. Cite Lobry et al. 2020 (doi:10.1109/TGRS.2020.2988782).
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1:-}" = --help ] && { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0; }
source scripts/launch.sh

SUBSET="${SUBSET:-LR}"
OUTPUT_DIR="${OUTPUT_DIR:-data/rsvqa_$(echo "$SUBSET" | tr '[:upper:]' '[:lower:]')}"
ZENODO_URL="${ZENODO_URL:-https://zenodo.org}"
case "$SUBSET" in
  LR) record=6344334 prefix=LR_split images=Images_LR.zip splits="train val test" ;;
  HR) record=6344367 prefix=USGS_split images=Images.tar splits="train val test test_phili" ;;
  XBEN) record=5084904 prefix=RSVQAxBEN_split images=Images.zip splits="train val test" ;;
  *) die "SUBSET=$SUBSET: expected LR, HR or XBEN" ;;
esac

# usage: download FILE; a finished file is never fetched again, an unfinished one is continued
download() {
  [ -f "$SOURCE_DIR/$1" ] && return
  echo "downloading $1 ..."
  curl -fL --retry 5 -C - -o "$SOURCE_DIR/$1.part" "$ZENODO_URL/records/$record/files/$1?download=1" ||
    die "$1 could not be downloaded from $ZENODO_URL: run again to continue, or set ZENODO_URL or SOURCE_DIR"
  mv "$SOURCE_DIR/$1.part" "$SOURCE_DIR/$1"
}

if [ -z "${SOURCE_DIR:-}" ]; then
  SOURCE_DIR="$OUTPUT_DIR/download"
  mkdir -p "$SOURCE_DIR"
  for split in $splits; do
    for kind in questions answers images; do download "${prefix}_${split}_$kind.json"; done
  done
  download "$images"
fi

flags=(--max_per_image "${MAX_PER_IMAGE:-0}")
[ "${BALANCE:-0}" = 1 ] && flags+=(--balance)
[ "${SKIP_BAD_ROWS:-0}" = 1 ] && flags+=(--skip_bad_rows)
"$PYTHON" -m src.dataset.prepare rsvqa --source "$SOURCE_DIR" --output "$OUTPUT_DIR" "${flags[@]}"
for file in "$OUTPUT_DIR"/*.jsonl; do
  case "$file" in *.rejects.jsonl) continue ;; esac
  "$PYTHON" -m src.dataset.validate --data_path "$file" --image_folder "$OUTPUT_DIR"
done
echo "ready: DATA_PATH=$OUTPUT_DIR/train.jsonl IMAGE_FOLDER=$OUTPUT_DIR"
