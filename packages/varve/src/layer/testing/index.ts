export { performOperations } from './perform-operations.ts';
export { type Operation, type OperationKind, Sequence, type SequenceOptions } from './random-operations.ts';
export { RandomSource } from './random-source.ts';
export { type DescribeOptions, describeTree, TemporaryFolder } from './tree.ts';
