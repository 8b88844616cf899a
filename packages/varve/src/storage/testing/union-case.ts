/** Something done to a tree, which must come out as in a plain folder. */
export interface UnionCase {
  readonly name: string;
  /** What the parent holds; something of everything when absent. */
  readonly base?: (root: string) => void;
  readonly act: (root: string) => void;
  /** A union may break the hard links of a lower file: then it is no plain folder, and its diff still tells all. */
  readonly breaksLinks?: true;
}
