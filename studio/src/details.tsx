// All about the chosen turn: what it was made with, how far it drifted, what can be done with it.
import { api } from './api';
import type { Drift, Recipe, Turn } from './api';
import { addReferences, clearReferences, useRecipe } from './composer_state';
import { Button } from './parts';
import { asStrokes } from './pixels';
import { INK, maskFor } from './mask_state';
import { tell } from './messages';
import { again, attempt, base, current, deleteTurn, pane, pinned, project, select, turnKey } from './store';
import { renaming } from './tree_panel';
import { comparedWith, pin } from './viewer';
import { short } from './words';

type Value = string | number | undefined;

// `other`: of the turn it is compared with, where that was made otherwise.
function Fact({ name, value, other }: { name: string; value: Value; other?: Value }) {
  if ((value === undefined || value === '') && !other) return null;
  return <div class="fact"><dt>{name}</dt><dd>{other && <><del>{other}</del> </>}{value || 'none'}</dd></div>;
}

function recipeFacts(recipe: Recipe): [string, Value][] {
  return [
    ['Seed', recipe.seed], ['Steps', recipe.steps], ['Guidance', recipe.guidance], ['Mode', recipe.mode],
    ['Size', recipe.width && recipe.height ? `${recipe.width} × ${recipe.height}` : undefined],
    ['References', (recipe.references?.length ?? 0) > 1 ? recipe.references!.length : undefined],
    ['Mask', recipe.mask ? `feather ${recipe.mask.feather_px ?? 0} px` : undefined],
    ['Model', recipe.model?.name], ['Made by', recipe.version ? `kontext ${recipe.version}` : undefined],
  ];
}

function RecipeFacts({ recipe, other }: { recipe: Recipe; other?: Recipe }) {
  const theirs = new Map(other ? recipeFacts(other) : []);
  return (
    <dl class="facts">
      {recipeFacts(recipe).map(([name, value]) => (
        <Fact key={name} name={name} value={value} other={other && theirs.get(name) !== value ? theirs.get(name) ?? 'none' : undefined} />
      ))}
    </dl>
  );
}

// 40 dB cannot be told apart by eye, below 20 anybody sees it; a colour shift of 2.3 is just seen side by side (docs/drift.md).
function DriftMeter({ drift }: { drift: Drift }) {
  const db = drift.psnr_db;
  const off = Math.abs(drift.sharpness - 1), hue = drift.colour_shift;
  const words = db === null ? 'none' : db >= 36 && hue < 1.2 && off < 0.15 ? 'hardly any' : db >= 28 && hue < 2.3 && off < 0.3 ? 'little'
    : db >= 20 && hue < 6 ? 'visible' : 'strong';
  const level = { none: 1, 'hardly any': 0.95, little: 0.7, visible: 0.45, strong: 0.2 }[words];
  return (
    <div class="drift">
      <div class="drift-head"><span>Drift from the original</span><strong>{words}</strong></div>
      <meter min={0} max={1} low={0.3} high={0.6} optimum={1} value={level} aria-label={`Drift: ${words}`} />
      <dl class="facts">
        <Fact name="PSNR" value={db === null ? 'equal' : `${db.toFixed(1)} dB`} />
        <Fact name="Colour shift" value={`ΔE ${drift.colour_shift.toFixed(2)}`} />
        <Fact name="Sharpness" value={`${(100 * drift.sharpness).toFixed(0)} %`} />
        <Fact name="Compared" value={`${(100 * drift.share).toFixed(0)} % of the picture`} />
      </dl>
    </div>
  );
}

async function takeBack(turn: Turn): Promise<void> {
  const id = project.value?.id, recipe = turn.recipe;
  if (!id || !recipe) return;
  useRecipe(recipe);
  clearReferences();
  if (turn.parent) {
    select(turnKey(turn.parent));
    for (let i = 1; i < (recipe.references?.length ?? 0); ++i) {
      const blob = await attempt(() => api.blob(api.reference(id, turn.id, i)));
      if (blob) await addReferences([new File([blob], recipe.references![i].file || `reference ${i}.png`, { type: 'image/png' })]);
    }
    if (recipe.mask) await takeMaskBack(id, turn);
  }
  tell('The recipe is in the instruction field again.');
}

async function takeMaskBack(id: string, turn: Turn): Promise<void> {
  const blob = await attempt(() => api.blob(api.mask(id, turn.id)));
  if (!blob) return;
  const bitmap = await createImageBitmap(blob);
  const canvas = document.createElement('canvas');
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext('2d')!;
  context.drawImage(bitmap, 0, 0);
  const data = context.getImageData(0, 0, bitmap.width, bitmap.height);
  asStrokes(data.data, INK);
  const mask = maskFor(turn.parent, bitmap.width, bitmap.height);
  mask.feather = turn.recipe?.mask?.feather_px ?? 0;
  mask.keep = true;
  mask.restore(data);
}

async function useAsReference(turn: Turn): Promise<void> {
  const blob = await attempt(() => api.blob(api.picture(project.value!.id, turn)));
  if (blob && await addReferences([new File([blob], turn.name, { type: 'image/png' })]))
    tell(`“${turn.name}” is a reference of the next edit: choose the turn to edit.`);
}

async function save(turn: Turn): Promise<void> {
  const blob = await attempt(() => api.blob(api.picture(project.value!.id, turn)));
  if (!blob) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `${turn.name.replace(/[^\w -]+/g, '').trim().slice(0, 60) || 'picture'}-${turn.id}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function copyPicture(turn: Turn): Promise<void> {
  const blob = await attempt(() => api.blob(api.picture(project.value!.id, turn)));
  if (!blob) return;
  try {
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
    tell('The picture is copied.');
  } catch {  // no right to, or no clipboard: pages of other machines without TLS have none
    tell('This browser does not let the page copy pictures; Export saves it.', 'error');
  }
}

export function Details() {
  const turn = current.value?.job ? undefined : base.value;
  if (!turn) return <p class="empty">{current.value?.job ? 'This edit is being made.' : 'Choose a turn to see how it was made.'}</p>;
  const recipe = turn.recipe, other = comparedWith.value;
  return (
    <div class="details">
      <h3 class="details-name">{turn.name}</h3>
      {recipe?.prompt && recipe.prompt !== turn.name && <p class="details-prompt">{recipe.prompt}</p>}
      <div class="actions">
        <Button icon="download" label="Export" cls="whole" onClick={() => void save(turn)} hint="PNG with its recipe inside">Export</Button>
        <Button icon="pencil" label="Rename" kind="plain" onClick={() => { renaming.value = turnKey(turn.id); pane.value = 'tree'; }} hint="Rename (F2)" />
        <Button icon="pin" label="Compare others with this" pressed={pinned.value === turn.id} onClick={() => pin(turn)} hint="Compare others with this (C)" />
        <Button icon="images" label="Use as reference" onClick={() => void useAsReference(turn)} hint="Use as reference in the next edit, of any turn" />
        <Button icon="copy" label="Copy the picture" kind="plain" onClick={() => void copyPicture(turn)} />
        <Button icon="trash" label="Delete" kind="danger" onClick={() => void deleteTurn(turn)} hint="Delete, with all that follows from it" />
      </div>
      {turn.parent > 0 && (
        <section>
          <h3>Try again</h3>
          <div class="actions">
            <Button icon="dice" label="Another seed" onClick={() => void again(turn, 1)}>Another seed</Button>
            {[2, 4].map(n => <Button key={n} label={`${n} variants`} onClick={() => void again(turn, n)} hint={`${n} variants, each with a seed of its own`}>{n} ×</Button>)}
          </div>
        </section>
      )}
      {turn.drift && turn.parent > 0 && <section><DriftMeter drift={turn.drift} /></section>}
      {recipe && (
        <section>
          <h3>Recipe{other?.recipe?.prompt !== undefined && <>, against “{short(other.name)}”</>}</h3>
          <RecipeFacts recipe={recipe} other={other?.recipe?.prompt !== undefined ? other.recipe : undefined} />
          <div class="actions">
            <Button icon="redo" label="Use again" onClick={() => void takeBack(turn)}>Use again</Button>
            <Button icon="file" label="Copy the recipe" onClick={async () => {
              await navigator.clipboard.writeText(JSON.stringify(recipe, null, 2));
              tell('The recipe is copied.');
            }}>Copy</Button>
          </div>
        </section>
      )}
      {!recipe && <p class="muted">A picture from elsewhere, without a recipe.</p>}
    </div>
  );
}
