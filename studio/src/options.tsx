// What an edit may be asked for beside its words.
import { useState } from 'preact/hooks';
import type { Size } from './api';
import { fromPixels, guidance, mode, negative, seed, setMode, size, steps, trueCfg, variants } from './composer_state';
import { Icon } from './icons';
import { MODES, predicted } from './modes';
import { Field, Popover, Switch } from './parts';
import { base, model } from './store';
import { aspect, duration } from './words';

const number = (text: string) => (text.trim() === '' || !Number.isFinite(Number(text)) ? null : Number(text));

const OTHER = 'other', AS_PICTURE = '';
const named = (s: Size) => `${s.width}x${s.height}`;

// The sizes that the model was trained on come first: others are drawn too, and not as well.
function SizeChoice() {
  const [other, setOther] = useState(false);
  const m = model.value, own = size.value;
  if (!m) return null;
  const known = m.preferred_sizes, { multiple, min_side, max_side } = m.limits;
  const chosen = other || (own && !known.some(s => named(s) === named(own))) ? OTHER : own ? named(own) : AS_PICTURE;
  const choose = (value: string) => {
    setOther(value === OTHER);
    if (value !== OTHER) size.value = known.find(s => named(s) === value) ?? null;
    else size.value ??= known[0] ?? null;
  };
  const side = (name: 'width' | 'height', label: string) => (
    <Field label={label}><input type="number" min={min_side} max={max_side} step={multiple} value={own?.[name] ?? ''}
      onChange={e => {
        const whole = Math.min(max_side, Math.max(min_side, Math.round((number(e.currentTarget.value) ?? multiple) / multiple) * multiple));
        size.value = { ...(own ?? { width: whole, height: whole }), [name]: whole };
        e.currentTarget.value = String(whole);
      }} /></Field>
  );
  return (
    <>
      <Field label="Size">
        <select value={chosen} onChange={e => choose(e.currentTarget.value)}>
          <option value={AS_PICTURE}>{base.value ? 'As the picture' : 'The model’s own'}</option>
          {known.map(s => <option key={named(s)} value={named(s)}>{s.width} × {s.height}, {aspect(s)}</option>)}
          <option value={OTHER}>Another…</option>
        </select>
      </Field>
      {chosen === OTHER && <div class="grid">{side('width', 'Width')}{side('height', 'Height')}</div>}
    </>
  );
}

export function Options() {
  const m = model.value;
  return (
    <Popover label="Options" align="end" up button={(open, toggle) => (
      <button type="button" class="button plain" aria-expanded={open} onClick={toggle} title="Seed, steps, guidance, size, mode">
        <Icon name="sliders" /><span>{MODES.find(o => o.value === mode.value)?.label}{size.value ? `, ${size.value.width} × ${size.value.height}` : ''}</span>
      </button>
    )}>
      {() => (
        <div class="options">
          <fieldset class="modes">
            <legend>Mode</legend>
            {MODES.map(o => {
              const seconds = predicted(o.value);
              return (
                <label key={o.value} class="mode">
                  <input type="radio" name="mode" checked={mode.value === o.value} onChange={() => setMode(o.value)} />
                  <span><strong>{o.label}</strong> {o.about}</span>
                  <span class="mode-time">{seconds > 0 ? `${o.value === 'default' ? '≤' : '≈'} ${duration(seconds)}` : ''}</span>
                </label>
              );
            })}
          </fieldset>
          <div class="grid">
            <Field label="Seed"><input inputMode="numeric" pattern="[0-9]*" value={seed.value}
              onInput={e => (seed.value = e.currentTarget.value.replace(/\D/g, '').slice(0, 15))} placeholder="drawn" /></Field>
            <Field label="Variants"><input type="number" min={1} max={16} value={variants.value}
              onInput={e => (variants.value = Math.min(16, Math.max(1, Math.round(number(e.currentTarget.value) ?? 1))))} /></Field>
            <Field label="Steps"><input type="number" min={1} max={m?.limits.max_steps ?? 1000} value={steps.value ?? ''} placeholder={String(m?.default_steps ?? 28)}
              onInput={e => (steps.value = number(e.currentTarget.value))} /></Field>
            <Field label="Guidance"><input type="number" min={0} max={100} step={0.1} value={guidance.value ?? ''} placeholder={String(m?.default_guidance ?? 2.5)}
              onInput={e => (guidance.value = number(e.currentTarget.value))} /></Field>
          </div>
          <SizeChoice />
          <details>
            <summary>More</summary>
            <Field label="Away from (negative)"><input value={negative.value} onInput={e => (negative.value = e.currentTarget.value)} /></Field>
            <Field label="True guidance" hint="Above 1: two passes a step"><input type="number" min={1} max={100} step={0.1} value={trueCfg.value}
              onInput={e => (trueCfg.value = number(e.currentTarget.value) ?? 1)} /></Field>
            <Switch label="Start from pixels, not latents" checked={fromPixels.value} onChange={on => (fromPixels.value = on)}
              hint="Latents drift less over many turns; pixels are what other programs start from" />
          </details>
        </div>
      )}
    </Popover>
  );
}

