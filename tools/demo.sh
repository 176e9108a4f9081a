#!/bin/sh
# A story in three turns with the bundled mini model: a character, a new setting, a new expression.
#   tools/demo.sh PROGRAM FOLDER
set -eu
kontext=$1
folder=$2
mkdir -p "$folder"

"$kontext" generate --seed 3 -p "a happy orange cat in a meadow during the day" -o "$folder/1-character.png"
"$kontext" edit --seed 3 -i "$folder/1-character.png" -p "put the cat in the city" -o "$folder/2-setting.png"
"$kontext" edit --seed 3 -i "$folder/2-setting.png" -p "make the cat sad" -o "$folder/3-expression.png"

echo "The three pictures are $folder/1-character.png, 2-setting.png and 3-expression.png"
