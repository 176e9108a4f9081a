// The rules of Kontext's prompt guide (Black Forest Labs), as remarks with a mend that one press applies. No model is asked: each
// rule is a pattern, so it can be wrong, and it never holds an edit back.

export interface Remark {
  rule: 'pronoun' | 'transform' | 'keep' | 'quotes' | 'negation' | 'many' | 'long' | 'english';
  message: string;
  mend?: { label: string; prompt: string };
}

export interface LintContext {
  t5?: { tokens: number; limit: number };
  // Instructions that the loaded model was trained on; those are never remarked upon.
  examples?: string[];
}

const PRONOUN = /\b(he|she|him|her|they|them)\b/i;
const TRANSFORM = /\b(transform|convert|morph)(s|ed|ing)?\b/i;
const BROAD = /\b(background|setting|style|lighting|scene|season)\b/i;
const KEEPS = /\b(keep|keeping|maintain|maintaining|preserve|preserving|while|same|without changing|unchanged)\b/i;
const WRITES = /\b(text|sign|word|words|letter|letters|title|label|caption|says?|reads?|write|written)\b/i;
const QUOTED = /(["“'‘])[^"”'’]+(["”'’])/;
const NEGATION = /\b(don'?t|do not|no|not|without|never|avoid)\b/i;
const VERBS = /\b(make|change|replace|add|remove|put|turn|give|move|paint|swap|delete|erase|place|draw|write)\b/gi;
const KEEP_CLAUSE = ' while keeping everything else exactly the same';

const same = (a: string, b: string) => a.trim().toLowerCase() === b.trim().toLowerCase();

// A sentence's end comes off before something is put behind it.
function append(prompt: string, words: string): string {
  const bare = prompt.trimEnd();
  const end = /[.!]$/.exec(bare)?.[0] ?? '';
  return bare.slice(0, bare.length - end.length) + words + end;
}

// 'change the sign to OPEN' -> "change the sign to 'OPEN'": the last run of words behind to, with or says.
function quoteText(prompt: string): string | undefined {
  const found = /\b(?:to|with|says?|reads?|write)\s+([A-Z0-9][\w!?&-]*(?:\s+[A-Z0-9][\w!?&-]*)*)\s*([.!]?)\s*$/.exec(prompt);
  return found ? `${prompt.slice(0, found.index)}${found[0].replace(found[1], `'${found[1]}'`)}` : undefined;
}

export function lint(prompt: string, context: LintContext = {}): Remark[] {
  const text = prompt.trim();
  if (!text || context.examples?.some(e => same(e, text))) return [];
  const remarks: Remark[] = [];
  const outside = text.replace(new RegExp(QUOTED, 'g'), ' ');  // what is quoted is text for the picture, not an instruction

  const foreign = [...text].filter(c => c.charCodeAt(0) > 0x24f).length;
  if (foreign * 4 > text.length)
    remarks.push({ rule: 'english', message: 'The model was trained on English instructions; other languages do little.' });

  const pronoun = PRONOUN.exec(outside);
  if (pronoun)
    remarks.push({
      rule: 'pronoun',
      message: `Name the subject instead of “${pronoun[0]}”: “the woman with short black hair” is found, a pronoun may not be.`,
    });

  const transform = TRANSFORM.exec(outside);
  if (transform) {
    const ending: Record<string, string> = { s: 'changes', ed: 'changed', ing: 'changing' };
    const mended = text.replace(TRANSFORM, (word, _, suffix?: string) => {
      const change = (suffix && ending[suffix]) ?? 'change';
      return word[0] === word[0].toUpperCase() ? change[0].toUpperCase() + change.slice(1) : change;
    });
    remarks.push({
      rule: 'transform',
      message: `“${transform[0]}” asks for a new subject and often loses its identity; “change” changes one thing.`,
      mend: { label: 'Say “change”', prompt: mended },
    });
  }

  if (BROAD.test(outside) && !KEEPS.test(outside))
    remarks.push({
      rule: 'keep',
      message: 'Say what stays, or the subject may move with its surroundings.',
      mend: { label: 'Add what stays', prompt: append(text, KEEP_CLAUSE) },
    });

  if (WRITES.test(outside) && !QUOTED.test(text)) {
    const quoted = quoteText(text);
    remarks.push({
      rule: 'quotes',
      message: 'Put the words that shall be seen into quotes: Replace ‘joy’ with ‘BFL’.',
      ...(quoted ? { mend: { label: 'Add quotes', prompt: quoted } } : {}),
    });
  }

  const negation = NEGATION.exec(outside.replace(/without changing/gi, ''));
  if (negation)
    remarks.push({
      rule: 'negation',
      message: `“${negation[0]}” is easily read as the thing itself: say what should be there instead, or “remove the …”.`,
    });

  const verbs = outside.match(VERBS)?.length ?? 0;
  if (verbs > 2)
    remarks.push({ rule: 'many', message: `${verbs} changes at once: one or two a turn come out better, the tree keeps each.` });

  if (context.t5 && context.t5.tokens > context.t5.limit)
    remarks.push({
      rule: 'long',
      message: `${context.t5.tokens} tokens: all behind the first ${context.t5.limit} is cut off.`,
    });
  return remarks;
}

// Starting points that follow the rules above; the words in braces are for the user.
export const TEMPLATES: { name: string; prompt: string }[] = [
  { name: 'Object', prompt: 'Change the {object} to {new look}, keep everything else exactly the same' },
  { name: 'Background', prompt: 'Change the background to {place} while keeping the subject in the exact same position, scale, and pose' },
  { name: 'Style', prompt: 'Change to {style} with {its traits} while maintaining the original composition' },
  { name: 'Text', prompt: "Replace '{old text}' with '{new text}', maintain the same font style" },
  { name: 'Character', prompt: 'The {person} is now {doing what}, preserving facial features, hairstyle, and expression' },
  { name: 'Remove', prompt: 'Remove the {object}, keep everything else exactly the same' },
];
