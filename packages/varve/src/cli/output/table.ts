/** Lays rows out in columns three spaces apart, as Docker's tables (text/tabwriter with minwidth 10, padding 3). */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [header, ...rows];
  const widths = header.map(
    (_, column) => Math.max(10 - 3, ...all.map((row) => width(row[column] ?? ''))) + 3,
  );
  return all.map((row) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat((widths[column] as number) - width(cell)),
      )
      .join('')
      .trimEnd(),
  );
}

/** Cells that characters take; wide East Asian ones and marks are counted as one. */
function width(text: string): number {
  return Array.from(text).length;
}
