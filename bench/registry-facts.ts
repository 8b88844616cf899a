/** One figure that stands for itself. */
export interface Fact {
  readonly name: string;
  readonly value: string;
  /** As the table shows it. */
  readonly goal: string;
}

/** Prints a figure at once, since the next may take minutes. @param reached whether the goal is; absent when there is none */
export function fact(name: string, value: string, goal = '', reached = true): Fact {
  console.log(`${name.padEnd(44)} ${value}`);
  return { name, value, goal: `${goal}${reached ? '' : ', **not reached**'}` };
}

export function factTable(facts: readonly Fact[]): string {
  const lines = facts.map(({ name, value, goal }) => `| ${name} | ${value} | ${goal} |`);
  return ['| what | measured | goal |', '| --- | --- | --- |', ...lines].join('\n');
}
