/** A named volume of the local driver. */
export interface Volume {
  readonly name: string;
  readonly driver: string;
  /** Folder with the data. */
  readonly mountpoint: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** RFC 3339. */
  readonly createdAt: string;
  /** Made without a name (a VOLUME or `-v /path`). */
  readonly anonymous: boolean;
}
