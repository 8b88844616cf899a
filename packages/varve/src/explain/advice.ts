import type { WasteGroup } from './waste-ledger.ts';

/** What to do against waste. */
export interface Advice {
  readonly code:
    | 'set-owner-in-copy'
    | 'set-mode-in-copy'
    | 'change-where-made'
    | 'delete-where-made'
    | 'write-once'
    | 'rebuild-layer';
  readonly text: string;
}

const advice: Readonly<Record<Advice['code'], string>> = {
  'set-owner-in-copy': 'give the owner when copying: COPY --chown=… instead of a chown afterwards',
  'set-mode-in-copy': 'give the mode when copying: COPY --chmod=… instead of a chmod afterwards',
  'change-where-made': 'change mode, owner and times in the same RUN that makes the files',
  'delete-where-made':
    'delete in the same RUN that makes the files, or copy the result from another build stage',
  'write-once': 'make the final version in one layer, or copy it from another build stage',
  'rebuild-layer': 'the archive of the layer has these names twice; build it anew',
};

/** What would avoid a group of waste, judged by its cause and by whether its files were copied in or made by a command. */
export function adviceFor(group: Pick<WasteGroup, 'cause' | 'layer' | 'differs'>): Advice {
  const code = codeFor(group);
  return { code, text: advice[code] };
}

function codeFor({ cause, layer, differs }: Pick<WasteGroup, 'cause' | 'layer' | 'differs'>): Advice['code'] {
  switch (cause) {
    case 'deleted':
      return 'delete-where-made';
    case 'overwritten':
      return 'write-once';
    case 'replaced-in-layer':
      return 'rebuild-layer';
    case 'metadata-only': {
      const wasCopied = /^\s*(?:\/bin\/sh -c #\(nop\)\s+)?(?:COPY|ADD)\b/.test(layer.instruction ?? '');
      if (wasCopied && differs.includes('owner')) return 'set-owner-in-copy';
      if (wasCopied && differs.includes('mode')) return 'set-mode-in-copy';
      return 'change-where-made';
    }
  }
}
