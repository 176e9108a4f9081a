#!/bin/sh
# A story in three turns with the bundled mini model: a drawn character, a new setting, a new expression.
#   tools/demo.sh PROGRAM FOLDER
set -eu
kontext=$1
folder=$2
mkdir -p "$folder"

cp docs/pictures/1-character.png "$folder/1-character.png"
"$kontext" edit --seed 3 -i "$folder/1-character.png" -p "put the cat on the beach" -o "$folder/2-setting.png"
"$kontext" edit --seed 3 -i "$folder/2-setting.png" -p "make the cat surprised" -o "$folder/3-expression.png"

echo
echo "The edited pictures are $folder/2-setting.png and $folder/3-expression.png (from $folder/1-character.png)."
