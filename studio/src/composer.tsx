// Where the instruction is written, with all that belongs to the next edit.
import { useEffect, useRef } from 'preact/hooks';
import { addReferences, clearReferences, hindrance, mode, prompt, references, send, setPrompt, tokens, variants } from './composer_state';
import { Icon } from './icons';
import { TEMPLATES, lint } from './linter';
import { maskOf, maskOpen, painted } from './mask_state';
import { predicted } from './modes';
import { Options } from './options';
import { Button, Popover } from './parts';
import { ReferenceChips } from './reference_chips';
import { forgetSaid, recalled, said } from './said';
import { extent, fittedSize, placeReferences } from './references';
import { base, current, model } from './store';
import { duration } from './words';

function Counter() {
  const t = tokens.value;
  if (!t) return <span class="counter muted">0 tokens</span>;
  const over = t.t5.tokens > t.t5.limit;
  return (
    <span class={`counter ${over ? 'over' : ''}`} title={`T5 reads ${t.t5.limit} tokens, CLIP ${t.clip.limit}`}>
      <meter min={0} max={t.t5.limit} value={Math.min(t.t5.tokens, t.t5.limit)} high={t.t5.limit * 0.9} aria-label="Share of T5's tokens" />
      <span>T5 {t.t5.tokens}/{t.t5.limit}</span><span class="counter-clip">CLIP {t.clip.tokens}/{t.clip.limit}</span>
    </span>
  );
}

function Remarks() {
  const t5 = tokens.value?.t5;
  const remarks = lint(prompt.value, { t5, examples: model.value?.examples });
  if (!remarks.length) return null;
  return (
    <ul class="remarks" aria-label="Hints for the instruction">
      {remarks.slice(0, 3).map(r => (
        <li key={r.rule}>
          <Icon name={r.rule === 'long' ? 'warn' : 'lamp'} size={15} />
          <span>{r.message}</span>
          {r.mend && <Button label={r.mend.label} kind="quiet" onClick={() => setPrompt(r.mend!.prompt)}>{r.mend.label}</Button>}
        </li>
      ))}
    </ul>
  );
}

function ReferenceLayout() {
  const sizes = model.value?.preferred_sizes ?? [];
  const own = base.value?.recipe;
  const first = fittedSize({ width: Number(own?.width) || sizes[0]?.width || 1, height: Number(own?.height) || sizes[0]?.height || 1 }, sizes);
  const sent = references.value.map((r, i) => ({ ...r, number: i + 1 })).filter(r => r.used);  // each under the number of its chip
  const all = [first, ...sent.map(r => fittedSize(r, sizes, first))];
  const boxes = placeReferences(all), whole = extent(boxes);
  const unit = 100 / Math.max(whole.width, whole.height);
  return (
    <figure class="layout">
      <svg viewBox={`-2 -2 ${whole.width * unit + 4} ${whole.height * unit + 4}`} role="img"
        aria-label={`Where the model sees them: ${boxes.map((b, i) => `${i === 0 ? 'the picture' : `reference ${sent[i - 1].number}`} at column ${b.x}, row ${b.y}`).join('; ')}`}>
        {boxes.map((b, i) => (
          <g key={i}>
            <rect x={b.x * unit + 1} y={b.y * unit + 1} width={b.width * unit - 2} height={b.height * unit - 2} rx="3" class={i ? 'ref' : 'own'} />
            <text x={(b.x + b.width / 2) * unit} y={(b.y + b.height / 2) * unit + 4} text-anchor="middle">{i ? sent[i - 1].number : 'Edit'}</text>
          </g>
        ))}
      </svg>
      <figcaption>How the model sees them, {boxes.map(b => b.width * b.height).reduce((a, b) => a + b, 0)} tokens. The first is edited; the model was trained on one.</figcaption>
    </figure>
  );
}

function Attachments() {
  void painted.value;
  const turn = base.value;
  const mask = turn && maskOf(turn.id);
  const masked = mask && mask.keep && !mask.empty;
  if (!masked && !references.value.length) return null;
  return (
    <div class="attachments">
      {masked && (
        <button type="button" class="chip" onClick={() => (maskOpen.value = true)}>
          <Icon name="brush" size={15} />Mask{mask.feather ? `, feather ${mask.feather} px` : ''}
        </button>
      )}
      <ReferenceChips />
      {references.value.length > 0 && (
        <Popover label="Layout of the references" up button={(open, toggle) => (
          <button type="button" class="chip" aria-expanded={open} onClick={toggle}><Icon name="columns" size={15} />Layout</button>
        )}>{() => <><ReferenceLayout /><Button label="Remove all" kind="quiet" icon="trash" onClick={clearReferences}>Remove all</Button></>}</Popover>
      )}
    </div>
  );
}

function Help() {
  const m = model.value;
  return (
    <Popover label="Examples" up button={(open, toggle) => <Button icon="lamp" label="Examples and templates" expanded={open} onClick={toggle} />}>
      {close => (
        <div class="help">
          <h3>Understood by {m?.name ?? 'the model'}</h3>
          <div class="examples">
            {m?.examples.map(e => <button type="button" class="chip" key={e} onClick={() => { setPrompt(e); close(); }}>{e}</button>)}
          </div>
          {said.value.length > 0 && (
            <>
              <h3>Said before</h3>
              <div class="examples">
                {said.value.slice(0, 6).map(s => <button type="button" class="chip" key={s} onClick={() => { setPrompt(s); close(); }}>{s}</button>)}
                <Button label="Forget them" kind="quiet" icon="trash" onClick={forgetSaid} />
              </div>
            </>
          )}
          <h3>Templates</h3>
          {TEMPLATES.map(t => (
            <button type="button" class="template" key={t.name} onClick={() => { setPrompt(t.prompt); close(); }}>
              <strong>{t.name}</strong><span>{t.prompt}</span>
            </button>
          ))}
        </div>
      )}
    </Popover>
  );
}

export function Composer() {
  const area = useRef<HTMLTextAreaElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const text = prompt.value, turn = base.value;
  useEffect(() => {
    const el = area.current;
    if (!el) return;
    el.style.height = 'auto';
    el.style.height = `${Math.min(180, el.scrollHeight)}px`;
  }, [text]);
  const time = predicted(mode.value, variants.value);
  const from = current.value?.job ? 'Next, from the same picture' : turn ? `Continue from “${turn.name}”` : 'Draw from words alone';
  return (
    <form class="composer" aria-label="Edit" onSubmit={e => { e.preventDefault(); void send(); }}>
      <Remarks />
      <div class="composer-card">
        <Attachments />
        <label class="composer-from" for="instruction">{from}</label>
        <textarea id="instruction" ref={area} rows={1} value={text} maxLength={model.value?.limits.max_prompt_bytes ?? 65536}
          placeholder={turn ? `What shall change? e.g. ${model.value?.examples[0] ?? ''}` : 'Describe a picture, or drop one'}
          onInput={e => setPrompt(e.currentTarget.value)}
          onKeyDown={e => {
            const back = e.shiftKey ? 0 : { ArrowUp: 1, ArrowDown: -1 }[e.key] ?? 0;
            const words = back ? recalled(text, back) : undefined;
            if (words !== undefined) {
              e.preventDefault();
              setPrompt(words);
            }
            if (e.key !== 'Enter' || e.shiftKey || e.isComposing) return;
            e.preventDefault();
            void send();
          }} />
        <div class="composer-row">
          <input type="file" ref={files} hidden multiple accept="image/png,image/jpeg,image/webp" aria-label="Add references"
            onChange={e => { void addReferences([...(e.currentTarget.files ?? [])]); e.currentTarget.value = ''; }} />
          <Button icon="images" label="Add a reference" disabled={!turn} onClick={() => files.current?.click()} />
          <Button icon="brush" label="Mask: where it may change" disabled={!turn || !!current.value?.job} pressed={maskOpen.value}
            onClick={() => (maskOpen.value = !maskOpen.value)} />
          <Help />
          <span class="spring" />
          <Counter />
          <Options />
          <button type="submit" class="button primary send" disabled={hindrance.value !== ''} title={hindrance.value || 'Enter'}>
            <Icon name="up" /><span>{turn ? 'Edit' : 'Draw'}{variants.value > 1 ? ` × ${variants.value}` : ''}</span>
            {time > 0 && <small>≈ {duration(time)}</small>}
          </button>
        </div>
      </div>
    </form>
  );
}
