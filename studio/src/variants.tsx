// Turns that were made of the same picture by the same words, side by side: one is kept, the others may go.
import { computed } from '@preact/signals';
import { api } from './api';
import type { Turn } from './api';
import { Button, Picture } from './parts';
import { base, current, deleteTurns, project, select, turnKey } from './store';

// The chosen turn's, itself included; a single one is no choice.
const variantsOf = computed<Turn[]>(() => {
  const turn = base.value;
  if (!turn?.recipe?.prompt || current.value?.job) return [];
  const same = (project.value?.turns ?? []).filter(t => t.parent === turn.parent && t.recipe?.prompt === turn.recipe!.prompt);
  return same.length > 1 ? same : [];
});

export function Variants() {
  const all = variantsOf.value, chosen = base.value, id = project.value?.id;
  if (!all.length || !chosen || !id) return null;
  const goneOnFrom = new Set(project.value!.turns.map(t => t.parent));
  const others = all.filter(t => t.id !== chosen.id && !goneOnFrom.has(t.id));
  return (
    <div class="variants" role="group" aria-label={`Variants of ${chosen.recipe!.prompt}`}>
      <div class="variants-strip">
        {all.map((t, i) => (
          <button type="button" key={t.id} class="variant" aria-pressed={t.id === chosen.id} title={`Seed ${t.recipe?.seed ?? '?'}`}
            aria-label={`Variant ${i + 1} of ${all.length}`} onClick={() => select(turnKey(t.id))}>
            <Picture path={api.thumbnail(id, t)} alt="" />
          </button>
        ))}
      </div>
      {others.length > 0 && (
        <Button icon="check" label="Keep only this" hint="The other variants that nothing follows from are deleted; Undo brings them back"
          onClick={() => void deleteTurns(others, `${others.length} other variant${others.length > 1 ? 's' : ''}`)}>Keep only this</Button>
      )}
    </div>
  );
}
